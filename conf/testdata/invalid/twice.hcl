pairing {
  max_queries = 10
  max_queries = 20
  timeout     = "soon"
}

log {
  level = "loud"
}
