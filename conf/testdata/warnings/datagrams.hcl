# Nothing confirms what the collection commits.
source "kafka" "sensors" {
  brokers = ["localhost"]
  topic   = "dns"
  group   = "collection"
}
sink "nmsg" "first" {
  to = "udp://127.0.0.1:9430"
}
sink "nmsg" "second" {
  to = "udp://127.0.0.1:9431"
}
