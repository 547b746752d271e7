# Configuration of dnstap-pdns. Every attribute has its default, so this file means
# the same as no file. To print the meaning of a configuration, run:
# dnstap-pdns check -c FILE
#
# Durations have a unit ("500ms", "60s", "1h"), and so have sizes ("256KiB", "16MiB").
# env("NAME") and file("PATH") insert values that are not to be written here.

# Resolvers connect here, at unix:///PATH or tcp://HOST:PORT. There may be several
# sources, each with its own name.
source "dnstap" "local" {
  listen = "unix:///run/dnstap-pdns/dnstap.sock"
  mode   = "0660" # the resolver must be able to write to the socket
  owner  = ""     # user name or number; "": the sensor's user
  group  = ""     # group name or number, usually the resolver's, like "unbound"

  max_connections   = 64
  max_frame         = "256KiB" # longer frames are skipped and counted
  handshake_timeout = "5s"

  # TLS 1.2 or later, for tcp:// only. File names are relative to the folder of this
  # file. The files are read again when they change.
  #  tls {
  #    cert      = "cert.pem"
  #    key       = "key.pem"
  #    client_ca = "ca.pem" # CA of the resolvers' certificates; "": resolvers need none
  #  }

  # Numbers of this source, in place of the numbers of the block sensor below.
  #  sensor {
  #    source   = 2
  #    operator = 0
  #    group    = 0
  #  }
}

# Packets: for a resolver that sends no outward messages over dnstap (Knot Resolver),
# and for a span port.
#  source "pcap" "span" {
#    interfaces = ["eth1"]                           # ["any"]: all interfaces
#    resolvers  = ["192.0.2.53", "2001:db8:53::/64"] # their outward traffic is captured
#    when       = "idle"                             # only without outward messages over dnstap; default: "always"
#    idle_after = "60s"
#
#    promiscuous     = false # true on a span port
#    decapsulate     = false # also read inside GRE, ERSPAN and VXLAN; true needs decapsulate_from = ["198.51.100.2"]
#    verify_checksum = false # reassembled datagrams are always verified
#
#    ring  = "32MiB" # for each interface and lane
#    lanes = 1
#
#    # Numbers of this source, as above.
#    sensor {
#      source = 3
#    }
#  }

# A topic of Kafka, in place of all sources above: this sensor is a collection, which reads what
# other sensors made and scrubbed. The blocks pairing, outward and scrub do not apply to it.
## source "kafka" "sensors" {
##   brokers = ["kafka1.example.net:9092", "kafka2.example.net:9092"]
##   topic   = "dns.rrsets"
##   group   = "collection" # its members share the partitions
##   commit  = "10m"        # then RRsets leave, files are completed, and all sinks confirm
##
##   tls {
##     ca   = "ca.pem"
##     cert = "" # and key: a certificate that identifies the collection
##     key  = ""
##   }
##   sasl {
##     mechanism = "SCRAM-SHA-512"
##     user      = "collection"
##     password  = credential("kafka-password")
##   }
##
##   # Numbers of payloads that have none.
##   sensor {
##     source   = 0
##     operator = 0
##     group    = 0
##   }
## }

# Queries that wait for their response.
pairing {
  max_queries = 131072 # over all connections; then the oldest is dropped
  timeout     = "60s"
}

# Which messages are outward: responses of authoritative servers on the Internet.
outward {
  forwarded     = false # also traffic with forwarders, and with RD set
  unanswered    = false # also unanswered queries
  local_servers = false # also servers on private and local addresses
  rcodes        = ["NOERROR", "NXDOMAIN", "SERVFAIL", "REFUSED"]
}

# What is removed. Name here what concerns your organisation.
scrub {
  resolver_address = "zero" # or "keep", to recognise your own queries later
  resolvers        = []     # the resolver's own addresses and prefixes, if dnstap does not report them
  local_names_file = ""     # a file with more local names, one on each line
  lookups          = "drop" # or "keep": queries to DNS blocklists and similar lists
  special_names    = true   # drop special-use names, and names under no existing TLD
  time_resolution  = "1s"

  # Your own names, which are dropped with all names below them, and your own networks:
  # servers and reverse names in them. Write [] if you have none; unset, a warning stays.
  # local_names    = ["corp.example"]
  # local_networks = ["198.51.100.0/24"]

  local_names_inside = "drop" # or "keep": names like corp.example.dnsbl.example.net

  # Lists that replace the built-in ones.
  # lookup_zones = ["dnsbl.example.net"]
  # root_servers = ["192.0.2.1"]
}

# Records go here, as NMSG: to udp://HOST:PORT, file:///DIR/NAME (a strftime pattern,
# in UTC), stdout:, wss://HOST/session/NAME or kafka://BROKER/TOPIC. There may be several sinks.
sink "nmsg" "files" {
  to      = "file:///var/lib/dnstap-pdns/%Y%m%dT%H%M%S.nmsg"
  message = "dnsqr"   # or "dnsobs", "dnstap"; "dnsdedupe": RRsets, below
  mtu     = "1MiB"    # for udp:// 8192 to loopback, else 1280
  flush   = "500ms"   # how long a record waits for its container to fill
  queue   = "16MiB"   # then the oldest containers are dropped and counted
  zlib    = false     # udp:// also has rate = 0: datagrams per second, 0 for no limit
  rotate  = "1h"      # "0s": no rotation by time

  rotate_size = "256MiB" # a file is never larger than this
  on_rotate   = []       # program and arguments, run for each finished file; its path is the last argument

  # Finished files are kept forever, unless you limit their age or total size.
  #  keep {
  #    age  = "720h"
  #    size = "100GiB"
  #  }

  # What the sink gets; [] means all. Every sink may have this block.
  #  policy {
  #    names           = ["example.net"]         # query names, with all names below them
  #    except_names    = ["private.example.net"]
  #    types           = ["A", "AAAA", "TYPE65"]
  #    rcodes          = ["NOERROR"]
  #    time_resolution = "1m" # not finer than scrub.time_resolution
  #  }
}

# Submission to SIE. The collection assigns NAME, channel and key. The key must not be
# in this file: file("PATH"), credential("NAME") and env("NAME") read it.
#  sink "nmsg" "sie" {
#    to      = "wss://submit.example.net/session/sensor"
#    channel = 202
#    api_key = credential("sie-key")
#    zlib    = true
#
#    # Private CAs, and a certificate that identifies the sensor. Without this block, or
#    # with "", the CAs of this machine apply. The files are read again at each connection.
#    tls {
#      ca   = "ca.pem"
#      cert = "sensor.pem"
#      key  = "sensor.key"
#    }
#
#    # Records wait here while the server is away; then they are sent in order.
#    spool {
#      dir       = "/var/lib/dnstap-pdns/spool"
#      max_bytes = "1GiB" # then the oldest are dropped and counted
#      max_age   = "168h" # "0s": no limit
#    }
#  }

# Records into a topic of Kafka, one container in each message. Raw records have no key; a sink of
# RRsets (message = "dnsdedupe", below) has one for each of 64 hash buckets of owner names.
#  sink "nmsg" "kafka" {
#    to  = "kafka://kafka1.example.net:9092,kafka2.example.net:9092/dns.raw"
#    mtu = "256KiB" # the maximum for Kafka
#
#    # The brokers' certificates must be valid; tls {} means the CAs of this machine.
#    tls {
#      ca = "ca.pem"
#    }
#
#    # The user, if the cluster has users.
#    sasl {
#      mechanism = "SCRAM-SHA-512" # or "SCRAM-SHA-256", "PLAIN"
#      user      = "sensor-7"
#      password  = credential("kafka-password")
#    }
#
#    # While the brokers are away, records wait here, as above.
#    spool {
#      dir = "/var/lib/dnstap-pdns/spool"
#    }
#  }

# The scrubbed records as dnstap, to programs that read Frame Streams: at unix:///PATH,
# tcp://HOST:PORT (with a tls block like that above), file:///DIR/NAME or stdout:.
#  sink "dnstap" "collector" {
#    to       = "unix:///run/collector/dnstap.sock"
#    identity = "" # in each message; "": absent
#    version  = ""
#  }

# RRsets, as a passive DNS database stores them: each once in a window, with when and how
# often it was seen, and only if the answering server had the authority to state it.
#  aggregate "rrsets" {
#    window      = "10m"
#    max_entries = 1000000  # then the oldest leave early
#    max_bytes   = "512MiB"
#    insertions  = false    # true: also report an RRset when it is first seen
#    state       = ""       # a file, like "/var/lib/dnstap-pdns/rrsets.state": what is in the window survives a restart
#    flush       = "500ms"
#    queue       = "16MiB"
#
#    # Packets do not show which zone was queried: the sensor learns delegations.
#    bailiwick_wait = "10s" # how long an answer waits for the delegation that verifies it
#    root_zone      = ""    # a root zone file: https://www.internic.net/domain/root.zone
#
#    # Which records enter, as in a sink.
#    policy {
#      names        = []
#      except_names = []
#      types        = []
#      rcodes       = ["NOERROR", "NXDOMAIN"]
#    }
#
#    # An RRset leaves only when sensors with this many different source ids (below) have seen
#    # it, 2 to 4. This is for a collection, which reads from Kafka what several sensors send.
#    release {
#      sources = 2
#    }
#  }
#  sink "nmsg" "database" {
#    to      = "file:///var/lib/dnstap-pdns/%Y%m%dT%H%M%S.dedupe.nmsg"
#    message = "dnsdedupe" # names and types of a policy are those of RRsets
#    from    = "rrsets"    # needed if there are several aggregate blocks
#  }
#  sink "json" "cof" {
#    to     = "file:///var/lib/dnstap-pdns/%Y%m%dT%H%M%S.cof"
#    format = "cof" # or "circl": what CIRCL's importer reads
#    from   = "rrsets"
#  }

# One JSON object on each line: file:///DIR/NAME or stdout:.
#  sink "json" "lines" {
#    to      = "file:///var/lib/dnstap-pdns/%Y%m%dT%H%M%S.json"
#    format  = "nmsg"  # as dnstap-pdns cat --json prints the message; RRsets have others, above
#    message = "dnsqr" # or "dnsobs", "dnstap"
#  }

# Numbers that identify this sensor to receivers; 0 is omitted.
sensor {
  source   = 0
  operator = 0
  group    = 0
}

# The HTTP server of the sensor: status page, /metrics, /ledger. dnstap-pdns status prints
# what it reports.
admin {
  listen       = "127.0.0.1:9353" # "": no HTTP server
  allow_remote = false            # true: listen may be an address that other hosts can reach
  host_names   = []               # names for it in URLs, in addition to addresses and localhost, like "sensor.example.net"
  samples      = false            # true: the page shows the last 20 records, with query names, to anyone who can reach listen
  pprof        = false            # also /debug/pprof
}

log {
  level  = "info" # or "debug", "warn", "error"
  format = "text" # or "json"
}
