# Everything is local.
scrub {
  local_names    = ["com"]
  local_networks = ["0.0.0.0/0"]
  resolvers      = ["192.0.2.53"]
}
