# A sink of RRsets need not name the only aggregate block.
sink "nmsg" "database" {
  to      = "stdout:"
  message = "dnsdedupe"
}
aggregate "rrsets" {}
