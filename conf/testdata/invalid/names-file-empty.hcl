scrub {
  local_names_file = "names-file-empty.list"
}

log {
  level = "loud"
}
