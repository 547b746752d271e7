outward {
  rcodes = []
}

scrub {
  local_names = "corp.example"
}
