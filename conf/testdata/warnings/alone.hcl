# A capture that would begin and never end.
source "pcap" "span" {
  interface = "eth1"
  resolvers = ["192.0.2.53"]
  when      = "idle"
}
scrub {
  local_names    = []
  local_networks = []
}
