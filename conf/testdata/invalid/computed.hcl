scrub {
	local_networks	= [for n in ["10.0.0.1/8"] : n]
	local_names_file = "\u0007"
}

pairing {
	timeout = <<E
soon
E
}
