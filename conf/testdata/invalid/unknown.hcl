admin {
  listen = "127.0.0.1:9353"
}

source "wire" "w" {
  interface = "eth0"
}

source "dnstap" "a" {
  listen = "tcp://127.0.0.1:6000"
  starttls {
    cert = "cert.pem"
  }
}

sink "kafka" "k" {
  to = "kafka://broker:9092/dns"
}

sink "nmsg" "out" {
  to      = "udp://127.0.0.1:9430"
  message = "dnsdedupe"
  acks    = 1
}

pairing {
  timeuot = "60s"
}

verbose = true
