scrub {
  local_names_file = "no/such/file"
}
