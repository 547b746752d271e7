# Two sources have the same id, and one has none.
source "dnstap" "first" {
  listen = "unix:///run/first.sock"
}
source "dnstap" "second" {
  listen = "unix:///run/second.sock"
  sensor {
    source = 7
  }
}
source "pcap" "third" {
  interface = "eth1"
  resolvers = ["192.0.2.53"]
  sensor {
    source = 0
  }
}
sensor {
  source = 7
}

aggregate "two" {
  release {
    sources = 2
  }
}
aggregate "one" {
  release {
    sources = 1
  }
}
aggregate "five" {
  release {
    sources = 5
  }
}
aggregate "none" {
  release {}
}
aggregate "unknown" {
  release {
    sources = 2
    days    = 1
  }
}
