scrub {
  local_names    = ["corp.example"]
  local_networks = ["198.51.100.0/24"]
  resolvers      = ["192.0.2.53"]
}
