scrub {
  local_names_file = "names-file-many.list"
}
