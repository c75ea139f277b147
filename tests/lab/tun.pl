# A device without a link header of its own, of whatever hardware type: PPP, GRE, WireGuard and other tunnels look like
# it. The host receives the packets of standard input through it, one in each line of hexadecimal digits; it ends with
# the input.
#
# With a third argument, each packet has a virtio_net_hdr before it, which describes its segmentation.
#
# tun.pl INTERFACE ARPHRD_TYPE [vnet]
use strict;
use warnings;

my ($name, $type, $vnet) = @ARGV;
my ($TUNSETIFF, $TUNSETLINK) = (0x400454ca, 0x400454cd);
my ($IFF_TUN, $IFF_NO_PI, $IFF_VNET_HDR) = (0x0001, 0x1000, 0x4000);

open(my $tun, '+<', '/dev/net/tun') or die "/dev/net/tun: $!";
ioctl($tun, $TUNSETIFF, pack('a16 S x22', $name, $IFF_TUN | $IFF_NO_PI | ($vnet ? $IFF_VNET_HDR : 0))) or die "TUNSETIFF: $!";
# The kernel sets the type only while the device is down.
ioctl($tun, $TUNSETLINK, $type + 0) or die "TUNSETLINK: $!";
$| = 1;
print "ready\n";
while (my $line = <STDIN>) {
    chomp $line;
    defined(syswrite($tun, pack('H*', $line))) or die "write: $!";
}
