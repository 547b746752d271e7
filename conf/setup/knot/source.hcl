source "pcap" "knot" {
  interfaces = ["{{.Interface}}"] # what leads to the Internet; ["any"] for all there are
  resolvers  = [{{quoted .Addresses}}]
}
