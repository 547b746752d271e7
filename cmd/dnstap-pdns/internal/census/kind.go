package census

// A kind is a kind of identifier that a name or text may be or contain.
type kind uint8

const (
	address kind = iota
	reverseName
	macAddress
	uuid
	longHex
	randomLabel
	webToken
	mailAddress
	telephone
	ownHost
	dynamicDNS
	disposable
	numKinds
)

// kindTable has the name of each kind for programs, and a line for people: what the kind is, and
// why it may identify a person.
var kindTable = [numKinds]struct{ name, meaning string }{
	address:     {"address", "an IP address in a name: providers often name a customer's line, and networks a device, after its address"},
	reverseName: {"reverse_name", "the reverse name of one IP address: shows that a site asked who uses this address"},
	macAddress:  {"mac_address", "a MAC address in a name: it belongs to one device, wherever that device connects"},
	uuid:        {"uuid", "a UUID in a name: often the identifier of one device, user, account or session"},
	longHex:     {"long_hex", "32 or more hexadecimal digits in a label: often the hash of a mail address, a file or a user's identifier"},
	randomLabel: {"random_label", "a label of 16 or more characters that look random: often the identifier of one device, user or session"},
	webToken:    {"web_token", "a JSON web token: it states for whom it was issued, and may let its reader act as that person"},
	mailAddress: {"mail_address", "a mail address, other than of a role such as hostmaster: it belongs to one person"},
	telephone:   {"telephone", "a telephone number in international form, or as ENUM spells it in a name: it belongs to one person or office"},
	ownHost:     {"own_host", "a local name with dashes for dots inside another domain's name: shows which services your organisation uses"},
	dynamicDNS:  {"dynamic_dns", "a name below a dynamic DNS provider's domain: usually the home connection of one person"},
	disposable: {"disposable_zone", "names below a domain under which nearly every name was looked up once only: such names often carry " +
		"data about one user or device; in a capture shorter than a day, popular domains look like this too"},
}

// String returns the kind's name in reports.
func (k kind) String() string { return kindTable[k].name }

// kinds is a set of kinds.
type kinds uint16

func (s kinds) has(k kind) bool      { return s&(1<<k) != 0 }
func (s kinds) with(more kind) kinds { return s | 1<<more }
