source "dnstap" "tap" {
  listen = "unix:///run/dnstap.sock"
}

source "pcap" "tap" {
  interfaces = ["eth1"]
}

source "pcap" "empty" {
  interface = ""
  resolvers = []
}

source "pcap" "both" {
  interface  = "eth1"
  interfaces = ["eth2"]
  resolvers  = ["192.0.2.53"]
}

source "pcap" "names" {
  interfaces = ["an-interface-name", "a b", "a/b", "eth3", "eth3"]
  resolvers  = ["192.0.2.53"]
}

source "pcap" "any" {
  interfaces = ["any", "eth1"]
  resolvers  = ["192.0.2.53/24", "0.0.0.0/0", "::/0", "resolver.example", "198.51.100.0/24"]
  when       = "never"
}

source "pcap" "always" {
  interface  = "eth1"
  resolvers  = ["198.51.100.53", "2001:db8::/32"]
  when       = "always"
  idle_after = "60s"
}

source "pcap" "numbers" {
  interface   = "eth4"
  resolvers   = ["192.0.2.53"]
  when        = "idle"
  idle_after  = "10ms"
  ring        = "2GiB"
  lanes       = 65
  promiscuous = "perhaps"
}

source "pcap" "tunnel" {
  interface   = "eth5"
  resolvers   = ["192.0.2.53"]
  decapsulate = true
  lanes       = 2
}

source "pcap" "tunnels" {
  interface   = "eth6"
  resolvers   = ["192.0.2.53"]
  decapsulate = true

  decapsulate_from = []
  decapsulate_to   = ["0.0.0.0/0", "everywhere"]
  vxlan_ports      = [53, 6081, 0, 65536, 4789.5, "8472"]
}

source "pcap" "no-tunnel" {
  interface = "eth7"
  resolvers = ["192.0.2.53"]

  decapsulate_from = ["198.51.100.2"]
  decapsulate_to   = ["198.51.100.9"]
  vxlan_ports      = [4789]
}

source "pcap" "no-port" {
  interface = "eth8"
  resolvers = ["192.0.2.54"]

  decapsulate      = true
  decapsulate_from = ["198.51.100.2"]
  vxlan_ports      = []
}

source "pcap" "no-number" {
  interface = "eth9"
  resolvers = ["192.0.2.55"]

  decapsulate      = true
  decapsulate_from = ["198.51.100.2"]
  vxlan_ports      = ["vxlan"]
}

source "pcap" "no-list" {
  interface = "eth10"
  resolvers = ["192.0.2.56"]

  decapsulate      = true
  decapsulate_from = ["198.51.100.2"]
  vxlan_ports      = 4789
}

source "pcap" "promiscuous" {
  interface   = "any"
  resolvers   = ["2001:db8:1::53"]
  promiscuous = true
}
