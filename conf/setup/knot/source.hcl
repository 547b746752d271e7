source "pcap" "knot" {
  interfaces = ["{{.Interface}}"] # towards the Internet; ["any"] for all interfaces
  resolvers  = [{{quoted .Addresses}}]
}
