# Expressions that the effective configuration must preserve.
pairing {
  max_queries = 1e3 + 24
  timeout     = "${30 + 30}s"
}
scrub {
  special_names = <<EOT
${env("PDNS_TEST_FLAG") ~}
EOT
  local_names = [<<-EOT
    ${env("PDNS_TEST_NAME")}
    EOT
  , "b.example"]
  resolvers      = [for n in [1, 2] : "192.0.2.${n}"]
  local_networks = ( # wrapped
    [env("PDNS_TEST_NETWORK")]
  )
}
source "dnstap" "odd" {
  listen = "unix:///run/$${x}/%%{y}\"\\\u00e9.sock"
  owner  = true ? "x" : env("PDNS_TEST_NOT_SET_BUT_NOT_USED")
}
