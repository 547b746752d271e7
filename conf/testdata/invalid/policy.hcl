pairing {
  max_queries = "many"
  timeout     = "2h"
}

outward {
  forwarded  = "yes"
  unanswered = null
  rcodes     = ["NOERROR", "BADVERS", "NXDOMIAN", 3]
}

scrub {
  resolver_address = "drop"
  resolvers        = ["192.0.2.300", "192.0.2.1/24", "fe80::1%eth0", "::ffff:192.0.2.1", "::"]
  local_names = [
    "corp.example",
    "",
    "two words.example",
    "a..example",
  ]
  local_networks  = ["198.51.100.7/24", "198.51.100.0/33", "::ffff:10.0.0.0/104", "corp"]
  local_names_inside = "zero"
  lookups         = "Drop"
  lookup_zones    = ["dnsbl.example", "two words.example", "org"]
  root_servers    = ["192.0.2.1", "192.0.2.0/24", "a.root-servers.net"]
  special_names   = []
  time_resolution = "0s"
}

sensor {
  source   = 4294967296
  operator = -1
  group    = 1.5
}

log {
  level  = "loud"
  format = "xml"
}
