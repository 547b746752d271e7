# Only packet sources.
source "pcap" "knot" {
  resolvers = ["192.0.2.53", "2001:db8:53::53"]
}
source "pcap" "said" {
  interface = env("PDNS_TEST_BASE") == "" ? "eth1" : "eth2"
  resolvers = [env("PDNS_TEST_NETWORK")]
}
source "pcap" "other" {
  interfaces = ["eth1"]
  resolvers  = ["192.0.2.53"]
}
