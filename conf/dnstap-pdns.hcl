# dnstap-pdns: what it reads, what leaves, and where to. Every attribute stands
# here with its default, so this file means the same as none at all. See what a
# configuration comes to with: dnstap-pdns check -c FILE
#
# Durations have a unit ("500ms", "60s", "1h"), sizes too ("256KiB", "16MiB").
# env("NAME") and file("PATH") give what need not stand here.

# Where resolvers connect: unix:///PATH or tcp://HOST:PORT. More than one source
# is fine; each has its own name.
source "dnstap" "local" {
  listen = "unix:///run/dnstap-pdns/dnstap.sock"
  mode   = "0660" # the resolver must be able to write to the socket
  owner  = ""     # user name or number; "": the sensor's own
  group  = ""     # group name or number: most often the resolver's, like "unbound"

  max_connections   = 64
  max_frame         = "256KiB" # longer frames are skipped and counted
  handshake_timeout = "5s"

  # TLS 1.2 or later, for tcp:// only. Files are named from this file's folder on,
  # and read again when they change.
  #  tls {
  #    cert      = "cert.pem"
  #    key       = "key.pem"
  #    client_ca = "ca.pem" # who issues resolvers their certificates; "": none is asked for
  #  }
}

# Packets: for a resolver that says nothing outward over dnstap (Knot Resolver),
# and for a span port.
#  source "pcap" "span" {
#    interfaces = ["eth1"]                           # ["any"]: all there are
#    resolvers  = ["192.0.2.53", "2001:db8:53::/64"] # whose outward traffic is taken
#    when       = "idle"                             # while dnstap brings nothing outward; "always" is the default
#    idle_after = "60s"
#
#    promiscuous     = false # true on a span port
#    decapsulate     = false # also look into GRE, ERSPAN and VXLAN; with true, decapsulate_from = ["198.51.100.2"]
#    verify_checksum = false # of what came in fragments it is verified always
#
#    ring  = "32MiB" # for each interface and lane
#    lanes = 1
#  }

# Queries wait here for their response.
pairing {
  max_queries = 131072 # over all connections; then the oldest is given up
  timeout     = "60s"
}

# What counts as outward: responses of authoritative servers on the Internet.
outward {
  forwarded     = false # also traffic with forwarders, or with RD set
  unanswered    = false # also queries that nobody answered
  local_servers = false # also servers on private and local addresses
  rcodes        = ["NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED"]
}

# What is taken out. Name here what concerns your organisation.
scrub {
  resolver_address = "zero" # or "keep", to find your own lookups later
  resolvers        = []     # the resolver's own addresses and prefixes, where dnstap does not show them
  local_names      = []     # like "corp.example": dropped, with all under it
  local_names_file = ""     # more of them, one a line
  local_networks   = []     # like "198.51.100.0/24": servers and reverse names there
  lookups          = "drop" # or "keep": queries to DNS blocklists and the like
  special_names    = true   # drop special-use names, and names under no existing TLD
  time_resolution  = "1s"

  local_names_inside = "drop" # or "keep": corp.example.dnsbl.example.net

  # Lists that replace the built-in ones.
  # lookup_zones = ["dnsbl.example.net"]
  # root_servers = ["192.0.2.1"]
}

# Where records go, as NMSG: udp://HOST:PORT, file:///DIR/NAME (a strftime
# pattern, in UTC) or stdout:. More than one sink is fine.
sink "nmsg" "files" {
  to      = "file:///var/lib/dnstap-pdns/%Y%m%dT%H%M%S.nmsg"
  message = "dnsqr"   # or "dnsobs", "dnstap"
  mtu     = "1MiB"    # udp:// has 8192 to loopback, else 1280
  flush   = "500ms"   # how long a record waits for its container to fill
  queue   = "16MiB"   # then the oldest containers are lost, and counted
  zlib    = false     # udp:// also has rate = 0: datagrams a second, 0 for no limit
  rotate  = "1h"      # "0s": no new file by time

  rotate_size = "256MiB" # a file is never larger than this
  on_rotate   = []       # program and arguments, run for each finished file, whose path comes last
}

# Numbers that a receiver knows this sensor by; 0 is left out.
sensor {
  source   = 0
  operator = 0
  group    = 0
}

# Where the sensor shows what it does, over HTTP: its status page, /metrics, /ledger, and
# dnstap-pdns status prints it.
admin {
  listen       = "127.0.0.1:9353" # "": nowhere
  allow_remote = false            # true: listen may be an address that other hosts reach
  samples      = false            # true: the page shows the last 20 records, names that were asked, to whoever reaches listen
  pprof        = false            # also /debug/pprof
}

log {
  level  = "info" # or "debug", "warn", "error"
  format = "text" # or "json"
}
