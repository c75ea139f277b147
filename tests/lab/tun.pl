# A device without a link header of its own, of whatever hardware type: PPP, GRE, WireGuard and other tunnels look like it.
# Packets come in through it as they are given, one in each line of hexadecimal digits; it goes away with the input.
#
# tun.pl INTERFACE ARPHRD_TYPE
use strict;
use warnings;

my ($name, $type) = @ARGV;
my ($TUNSETIFF, $TUNSETLINK, $IFF_TUN, $IFF_NO_PI) = (0x400454ca, 0x400454cd, 0x0001, 0x1000);

open(my $tun, '+<', '/dev/net/tun') or die "/dev/net/tun: $!";
ioctl($tun, $TUNSETIFF, pack('a16 S x22', $name, $IFF_TUN | $IFF_NO_PI)) or die "TUNSETIFF: $!";
# Only while it is down.
ioctl($tun, $TUNSETLINK, $type + 0) or die "TUNSETLINK: $!";
$| = 1;
print "ready\n";
while (my $line = <STDIN>) {
    chomp $line;
    defined(syswrite($tun, pack('H*', $line))) or die "write: $!";
}
