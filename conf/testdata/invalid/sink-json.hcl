sink "json" "stream" {
  to     = "tcp://192.0.2.1:6000"
  format = "xml"
}

sink "json" "values" {
  to       = "file:///var/lib/x/%Y%m%dT%H%M%S.json"
  format   = true
  message  = "json"
  identity = "sensor-7"
  tls {}
}

sink "json" "twice" {
  to = "file:///var/lib/x/%Y%m%dT%H%M%S.json"
}

sink "json" "keeps" {
  to = "stdout:"
  keep {
    age = "1h"
  }
}

sink "dnstap" "mixed" {
  to = "stdout:"
}
