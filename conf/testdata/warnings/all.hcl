# Every probable mistake in a valid configuration.
source "dnstap" "tap" {
  listen = "unix:///run/tap.sock"
}
source "pcap" "span" {
  interface = "eth1"
  resolvers = ["10.0.0.0/16", "fd00::/8"]
  when      = "idle"
}
scrub {
  local_names      = ["corp.example", "co.uk", "Corp.", "github.io", "公司.cn", "lan"]
  local_names_file = "names.list"
  local_networks   = ["10.0.0.0/8", "12.0.0.0/6", "2000::/15", "2001::/16"]
  resolvers        = ["192.168.1.1", "100.64.0.1", "fd12::1", "fe80::1", "198.0.0.0/7", "2001:db8::/32"]
}
