package census

import "strings"

// dynamicSuffixes returns the domains below which providers of dynamic DNS let customers have
// names: the entries of such providers in the private section of the public suffix list
// (https://publicsuffix.org/list/, in the version of golang.org/x/net/publicsuffix), except
// domains below another of them.
func dynamicSuffixes() map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(providers) {
		if words := strings.Fields(line); len(words) > 0 && words[0] != "//" {
			for _, suffix := range words {
				all[suffix] = true
			}
		}
	}
	return all
}

const providers = `
// ASUSTOR
myasustor.com
// AVM (FRITZ!Box)
myfritz.net
// COSIMO
dyn.cosidns.de dynamisches-dns.de dnsupdater.de internet-dns.de l-o-g-i-n.de dynamic-dns.info
feste-ip.net knx-server.net static-access.net
// deSEC
dedyn.io
// DNShome
dnshome.de
// DrayTek
drayddns.com
// DuckDNS
duckdns.org
// dy.fi
dy.fi tunk.org
// DynDNS.com
dyndns-at-home.com dyndns-at-work.com dyndns-blog.com dyndns-free.com dyndns-home.com dyndns-ip.com
dyndns-mail.com dyndns-office.com dyndns-pics.com dyndns-remote.com dyndns-server.com dyndns-web.com
dyndns-wiki.com dyndns-work.com dyndns.biz dyndns.info dyndns.org dyndns.tv at-band-camp.net ath.cx
barrel-of-knowledge.info barrell-of-knowledge.info better-than.tv blogdns.com blogdns.net blogdns.org
blogsite.org boldlygoingnowhere.org broke-it.net buyshouses.net cechire.com dnsalias.com dnsalias.net
dnsalias.org dnsdojo.com dnsdojo.net dnsdojo.org does-it.net doesntexist.com doesntexist.org
dontexist.com dontexist.net dontexist.org doomdns.com doomdns.org dvrdns.org dyn-o-saur.com
dynalias.com dynalias.net dynalias.org dynathome.net dyndns.ws endofinternet.net endofinternet.org
endoftheinternet.org est-a-la-maison.com est-a-la-masion.com est-le-patron.com est-mon-blogueur.com
for-better.biz for-more.biz for-our.info for-some.biz for-the.biz forgot.her.name forgot.his.name
from-ak.com from-al.com from-ar.com from-az.net from-ca.com from-co.net from-ct.com from-dc.com
from-de.com from-fl.com from-ga.com from-hi.com from-ia.com from-id.com from-il.com from-in.com
from-ks.com from-ky.com from-la.net from-ma.com from-md.com from-me.org from-mi.com from-mn.com
from-mo.com from-ms.com from-mt.com from-nc.com from-nd.com from-ne.com from-nh.com from-nj.com
from-nm.com from-nv.com from-ny.net from-oh.com from-ok.com from-or.com from-pa.com from-pr.com
from-ri.com from-sc.com from-sd.com from-tn.com from-tx.com from-ut.com from-va.com from-vt.com
from-wa.com from-wi.com from-wv.com from-wy.com ftpaccess.cc fuettertdasnetz.de game-host.org
game-server.cc getmyip.com gets-it.net gotdns.com gotdns.org groks-the.info groks-this.info
ham-radio-op.net here-for-more.info hobby-site.com hobby-site.org homedns.org homeftp.net homeftp.org
homeip.net homelinux.com homelinux.net homelinux.org homeunix.com homeunix.net homeunix.org
iamallama.com in-the-band.net is-a-anarchist.com is-a-blogger.com is-a-bookkeeper.com
is-a-bruinsfan.org is-a-bulls-fan.com is-a-candidate.org is-a-caterer.com is-a-celticsfan.org
is-a-chef.com is-a-chef.net is-a-chef.org is-a-conservative.com is-a-cpa.com is-a-cubicle-slave.com
is-a-democrat.com is-a-designer.com is-a-doctor.com is-a-financialadvisor.com is-a-geek.com
is-a-geek.net is-a-geek.org is-a-green.com is-a-guru.com is-a-hard-worker.com is-a-hunter.com
is-a-knight.org is-a-landscaper.com is-a-lawyer.com is-a-liberal.com is-a-libertarian.com
is-a-linux-user.org is-a-llama.com is-a-musician.com is-a-nascarfan.com is-a-nurse.com is-a-painter.com
is-a-patsfan.org is-a-personaltrainer.com is-a-photographer.com is-a-player.com is-a-republican.com
is-a-rockstar.com is-a-socialist.com is-a-soxfan.org is-a-student.com is-a-teacher.com is-a-techie.com
is-a-therapist.com is-an-accountant.com is-an-actor.com is-an-actress.com is-an-anarchist.com
is-an-artist.com is-an-engineer.com is-an-entertainer.com is-by.us is-certified.com is-found.org
is-gone.com is-into-anime.com is-into-cars.com is-into-cartoons.com is-into-games.com is-leet.com
is-lost.org is-not-certified.com is-saved.org is-slick.com is-uberleet.com is-very-bad.org
is-very-evil.org is-very-good.org is-very-nice.org is-very-sweet.org is-with-theband.com isa-geek.com
isa-geek.net isa-geek.org isa-hockeynut.com issmarterthanyou.com isteingeek.de istmein.de kicks-ass.net
kicks-ass.org knowsitall.info land-4-sale.us lebtimnetz.de leitungsen.de likes-pie.com likescandy.com
merseine.nu mine.nu misconfused.org mypets.ws myphotos.cc neat-url.com office-on-the.net on-the-web.tv
podzone.net podzone.org readmyblog.org saves-the-whales.com scrapper-site.net scrapping.cc selfip.biz
selfip.com selfip.info selfip.net selfip.org sells-for-less.com sells-for-u.com sells-it.net
sellsyourhome.org servebbs.com servebbs.net servebbs.org serveftp.net serveftp.org servegame.org
shacknet.nu simple-url.com space-to-rent.com stuff-4-sale.org stuff-4-sale.us teaches-yoga.com
thruhere.net traeumtgerade.de webhop.biz webhop.info webhop.net webhop.org worse-than.tv
writesthisblog.com
// ddnss.de
ddnss.de dyndns1.de dyn-ip24.de home-webserver.de myhome-server.de ddnss.org
// Dynu
ddnsfree.com ddnsgeek.com giize.com gleeze.com kozow.com loseyourip.com ooguy.com theworkpc.com
casacam.net dynu.net accesscam.org camdvr.org freeddns.org mywire.org webredirect.org myddns.rocks
// dynv6
dynv6.net
// freemyip
freemyip.com
// GoIP
goip.de
// Now-DNS
dnsking.ch mypi.co myiphost.com forumz.info 16-b.it 32-b.it 64-b.it soundcast.me tcp4.me dnsup.net
hicam.net now-dns.net ownip.net vpndns.net dynserv.org now-dns.org x443.pw ntdll.top freeddns.us
// nsupdate.info
nsupdate.info nerdpol.ovh
// No-IP
blogsyte.com brasilia.me cable-modem.org ciscofreak.com collegefan.org couchpotatofries.org
damnserver.com ddns.me ditchyourip.com dnsfor.me dnsiskinky.com dvrcam.info dynns.com
eating-organic.net fantasyleague.cc geekgalaxy.com golffan.us health-carereform.com homesecuritymac.com
homesecuritypc.com hopto.me ilovecollege.info loginto.me mlbfan.org mmafan.biz myactivedirectory.com
mydissent.net myeffect.net mymediapc.net mypsx.net mysecuritycamera.com mysecuritycamera.net
mysecuritycamera.org net-freaks.com nflfan.org nhlfan.net no-ip.ca no-ip.co.uk no-ip.net noip.us
onthewifi.com pgafan.net point2this.com pointto.us privatizehealthinsurance.net quicksytes.com
read-books.org securitytactics.com serveexchange.com servehumour.com servep2p.com servesarcasm.com
stufftoread.com ufcfan.org unusualperson.com workisboring.com 3utilities.com bounceme.net ddns.net
ddnsking.com gotdns.ch hopto.org myftp.biz myftp.org myvnc.com no-ip.biz no-ip.info no-ip.org noip.me
redirectme.net servebeer.com serveblog.net servecounterstrike.com serveftp.com servegame.com
servehalflife.com servehttp.com serveirc.com serveminecraft.net servemp3.com servepics.com
servequake.com sytes.net webhop.me zapto.org
// QNAP
dev-myqnapcloud.com alpha-myqnapcloud.com myqnapcloud.com
// SBE (logoip)
logoip.de logoip.com
// Securepoint
firewall-gateway.com firewall-gateway.de my-gateway.de my-router.de spdns.de spdns.eu
firewall-gateway.net my-firewall.org myfirewall.org spdns.org
// Synology
dscloud.biz direct.quickconnect.cn dsmynas.com familyds.com diskstation.me dscloud.me i234.me myds.me
synology.me dscloud.mobi dsmynas.net familyds.net dsmynas.org familyds.org vpnplus.to
direct.quickconnect.to
// TwoDNS
`
