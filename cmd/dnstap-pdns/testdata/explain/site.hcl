scrub {
  resolvers      = ["192.0.2.53", "192.0.2.35"]
  local_names    = ["corp.example", "crop.example"]
  local_networks = ["10.0.0.0/8", "172.16.0.0/12"]
}
sink "nmsg" "one" {
  to = "udp://127.0.0.1:9"
}
sink "nmsg" "two" {
  to      = "udp://127.0.0.1:10"
  message = "dnstap"
}
