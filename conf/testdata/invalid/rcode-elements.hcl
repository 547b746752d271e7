outward {
  rcodes = ["BADVERS", "BADSIG", "NXDOMIAN"]
}
