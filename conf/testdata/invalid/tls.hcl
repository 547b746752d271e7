source "dnstap" "unix" {
  listen = "unix:///run/dnstap.sock"
  tls {
    cert = "cert.pem"
    key  = "key.pem"
  }
}

source "dnstap" "half" {
  listen = "tcp://127.0.0.1:6001"
  tls {
    cert = "cert.pem"
  }
}

source "dnstap" "twice" {
  listen = "tcp://127.0.0.1:6002"
  tls {
    cert = "cert.pem"
    key  = "key.pem"
  }
  tls {
    client_ca = "ca.pem"
  }
}

source "dnstap" "paths" {
  listen = "tcp://127.0.0.1:6003"
  tls {
    cert      = ""
    key       = ["key.pem"]
    client_ca = "ca\n.pem"
  }
}

source "dnstap" "contents" {
  listen = "tcp://127.0.0.1:6004"
  tls {
    cert = "cert.pem"
    key  = file("names-file.list")
  }
}

source "dnstap" "names" {
  listen = "tcp://127.0.0.1:6005"
  tls "server" {
    cert = "cert.pem"
    key  = "key.pem"
  }
  tls {
    cert = "cert.pem"
    key  = "key.pem"
    ca   = "ca.pem"
  }
}

source "dnstap" "argument" {
  listen = "tcp://127.0.0.1:6006"
  tls    = true
}

source "dnstap" "both" {
  listen = "tcp://127.0.0.1"
  tls {
    cert = true
    key  = "key.pem"
  }
}

source "dnstap" "exposed" {
  listen = "tcp://0.0.0.0:6000"
  tls {
    cert = "cert.pem"
    key  = "key.pem"
  }
}
