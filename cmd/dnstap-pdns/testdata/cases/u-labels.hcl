scrub {
  local_names    = ["bücher.example"]
  local_networks = ["198.51.100.0/24"]
  resolvers      = ["192.0.2.53"]
}
