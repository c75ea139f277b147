# One end of a PPPoE session (RFC 2516), already agreed on: packets that are routed to a PPP interface leave an Ethernet
# interface in session frames, and what comes there in such frames comes out of the PPP interface.
#
# The PPP interface is a tun device of type ARPHRD_PPP: rtnetlink and packet sockets show no difference.
#
# pppoe.pl PPP_INTERFACE ETHERNET_IFINDEX OWN_MAC PEER_MAC
use strict;
use warnings;

my ($ppp, $ifindex, $own, $peer) = @ARGV;
my ($AF_PACKET, $SOCK_RAW, $ETH_P_PPP_SES, $ARPHRD_PPP) = (17, 3, 0x8864, 512);
my ($TUNSETIFF, $TUNSETLINK, $IFF_TUN, $IFF_NO_PI) = (0x400454ca, 0x400454cd, 0x0001, 0x1000);
my ($SESSION, $PPP_IPV4) = (7, 0x0021);

open(my $tun, '+<', '/dev/net/tun') or die "/dev/net/tun: $!";
ioctl($tun, $TUNSETIFF, pack('a16 S x22', $ppp, $IFF_TUN | $IFF_NO_PI)) or die "TUNSETIFF: $!";
socket(my $line, $AF_PACKET, $SOCK_RAW, unpack('S', pack('n', $ETH_P_PPP_SES))) or die "socket: $!";
bind($line, pack('S n l S C C a8', $AF_PACKET, $ETH_P_PPP_SES, $ifindex, 0, 0, 0, '')) or die "bind: $!";
# This comes last, since the tests take the changed type for the sign that the session is there.
ioctl($tun, $TUNSETLINK, $ARPHRD_PPP + 0) or die "TUNSETLINK: $!";

my $ethernet = pack('H12 H12 n', $peer =~ tr/://dr, $own =~ tr/://dr, $ETH_P_PPP_SES);
while (1) {
    my $readable = '';
    vec($readable, fileno($_), 1) = 1 for $tun, $line;
    select($readable, undef, undef, undef) > 0 or next;
    if (vec($readable, fileno($tun), 1)) {
        sysread($tun, my $packet, 65536) or next;
        syswrite($line, $ethernet . pack('C C n n n', 0x11, 0, $SESSION, length($packet) + 2, $PPP_IPV4) . $packet);
    }
    if (vec($readable, fileno($line), 1)) {
        sysread($line, my $frame, 65536) or next;
        my ($to, undef, undef, $length, $protocol) = unpack('H12 x8 n n n n', $frame);
        syswrite($tun, substr($frame, 22, $length - 2)) if $to eq $own =~ tr/://dr && $protocol == $PPP_IPV4;
    }
}
