sink "nmsg" "database" {
  to      = "stdout:"
  message = "dnsdedupe"
}

sink "json" "lines" {
  to     = "file:///var/lib/x/%Y%m%dT%H%M%S.json"
  format = "circl"
  from   = "rrsets"
}
