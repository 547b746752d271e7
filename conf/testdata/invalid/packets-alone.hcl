source "pcap" "span" {
  interface = "eth1"
  resolvers = ["192.0.2.53"]
  when      = "idle"
  lanes     = 0
}
