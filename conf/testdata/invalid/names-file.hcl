scrub {
  local_names_file = "names-file.list"
}

log {
  level = "loud"
}
