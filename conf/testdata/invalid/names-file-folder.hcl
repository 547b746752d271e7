scrub {
  local_names_file = "."
}
