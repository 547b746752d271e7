# Every attribute with a value other than its default.
log {
  level  = "debug"
  format = "json"
}
sensor {
  source   = 4294967295
  operator = 2
  group    = 3
}
admin {
  listen       = "[::]:09353"
  allow_remote = true
  host_names   = ["Sensor.Example.net.", "status"]
  samples      = true
  pprof        = true
}
sink nmsg receiver {
  to      = "udp://[2001:db8::1]:9430"
  message = "dnsobs"
  mtu     = 1400
  flush   = "1m30s"
  queue   = "1GiB"
  zlib    = true
  rate    = 2000
}
sink "nmsg" "files" {
  to     = "file:///var/lib/pdns/%Y/%m/%d/%H%M.nmsg"
  mtu    = "64 KiB"
  rotate = "15m"

  rotate_size = 1048576
  on_rotate   = ["/usr/local/bin/upload", "--to", "a place; $HOME", ""]
  keep {
    age  = "720h"
    size = "100GiB"
  }
}
source "dnstap" "unbound" {
  listen            = "unix:///run/pdns/unbound.sock"
  mode              = "0620"
  owner             = "unbound"
  group             = "110"
  max_connections   = 1
  max_frame         = 65536
  handshake_timeout = "250ms"
}
source "dnstap" "remote" {
  listen = "tcp://192.0.2.1:6000"
  tls {
    cert      = "cert.pem"
    key       = "/etc/dnstap-pdns/key.pem"
    client_ca = "ca.pem"
  }
}
source "pcap" "span" {
  interfaces      = ["eth1", "bond0.100"]
  resolvers       = ["192.0.2.53", "2001:db8:53::/64"]
  when            = "idle"
  idle_after      = "5m"
  promiscuous     = true
  verify_checksum = true
  ring            = "64MiB"
  lanes           = 4
}
source "pcap" "tunnel" {
  interface   = "any"
  resolvers   = ["198.51.100.53"]
  when        = "idle"
  decapsulate = true

  decapsulate_from = ["198.51.100.2", "2001:db8:2::/64"]
  decapsulate_to   = ["198.51.100.9"]
  vxlan_ports      = [4789]
}
pairing {
  max_queries = 1
  timeout     = "1h"
}
outward {
  forwarded     = true
  unanswered    = true
  local_servers = true
  rcodes        = ["noerror", "YXDOMAIN"]
}
scrub {
  resolver_address = "keep"
  resolvers        = ["192.0.2.53", "2001:db8:5::/64"]
  local_names = [
    "corp.example.", # with all under it
    "Bücher.example",
  ]
  local_names_file = "names.txt"
  local_networks   = ["198.51.100.0/24", "203.0.113.7", "2001:db8:1::/48", "2001:db8::7"]
  special_names    = false
  time_resolution  = "1ns"

  local_names_inside = "keep"
  lookups            = "keep"
  lookup_zones       = ["dnsbl.example.net.", "Bücher.example"]
  root_servers       = ["192.0.2.1", "2001:db8::1"]
}
