admin {
  listen       = "no host:9353"
  allow_remote = true
}
