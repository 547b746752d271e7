# The parser's messages must not show what is written as a secret.
sink "nmsg" "syntax" {
  to      = "wss://sensor:top-secret@submit.example.net/session/sensor
  api_key = "top-secret
}
