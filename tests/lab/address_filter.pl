# Puts itself into a new cgroup with a filter of addresses like that of IPAddressDeny=any, IPAddressAllow=localhost and
# further IPv4 addresses, and then becomes a program: address_filter.pl CGROUP 'ADDRESS...' PROGRAM ARGUMENT...
# Exits with 77 where the kernel does not let it.
use strict;
use warnings;
use Socket;

my ($cgroup, $allowed, @program) = @ARGV;
my ($machine) = (split ' ', `uname -m`);
my $bpf = { x86_64 => 321, aarch64 => 280 }->{$machine} or refused("no number of bpf(2) for $machine");
my ($PROG_LOAD, $PROG_ATTACH, $CGROUP_SKB, $EGRESS) = (5, 8, 8, 1);

sub refused { print STDERR "NOT CHECKED: @_\n"; exit 77 }
# An instruction of eBPF: operation, destination, source, jump, number.
sub op { my ($code, $dst, $src, $off, $imm) = @_; pack 'CCsl', $code, $dst | $src << 4, $off, $imm }
# Loads bytes of the packet to the stack at -16; r6 is the packet (bpf_skb_load_bytes).
sub load_bytes {
    my ($at, $count) = @_;
    op(0xbf, 1, 6, 0, 0), op(0xb7, 2, 0, 0, $at), op(0xbf, 3, 10, 0, 0), op(0x07, 3, 0, 0, -16),
        op(0xb7, 4, 0, 0, $count), op(0x85, 0, 0, 0, 26);
}
my @pass = (op(0xb7, 0, 0, 0, 1), op(0x95, 0, 0, 0, 0));
my @drop = (op(0xb7, 0, 0, 0, 0), op(0x95, 0, 0, 0, 0));
# IPv6: all but ::1 is dropped. Numbers in the packet are in network order.
my @v6 = (load_bytes(24, 16), op(0x79, 1, 10, -16, 0), op(0x55, 1, 0, 4, 0), op(0x61, 1, 10, -8, 0),
    op(0x55, 1, 0, 2, 0), op(0x61, 1, 10, -4, 0), op(0x15, 1, 0, 2, unpack('l', "\0\0\0\1")), @drop, @pass);
my @v4 = (load_bytes(16, 4), op(0x71, 1, 10, -16, 0), op(0x55, 1, 0, 2, 127), @pass, op(0x61, 1, 10, -16, 0));
push @v4, op(0x56, 1, 0, 2, unpack 'l', inet_aton($_)), @pass for split ' ', $allowed;
push @v4, @drop;
my @code = (op(0xbf, 6, 1, 0, 0), load_bytes(0, 1), op(0x71, 1, 10, -16, 0), op(0x77, 1, 0, 0, 4),
    op(0x55, 1, 0, scalar @v6, 6), @v6, @v4);
my ($code, $license) = (join('', @code), "GPL\0");
my $pointer = sub { unpack 'Q', pack 'P', $_[0] };
my $attributes = pack 'LLQQLLQLLx16LL', $CGROUP_SKB, scalar @code, $pointer->($code), $pointer->($license), 0, 0, 0, 0, 0,
    0, $EGRESS;
$attributes .= "\0" x 64;
my $filter = syscall $bpf, $PROG_LOAD, $attributes, length $attributes;
refused("bpf(2) is refused: $!") if $filter < 0;
mkdir $cgroup or refused("no cgroup can be made: $!");
sysopen my $folder, $cgroup, 0 or refused("$cgroup: $!");
my $attach = pack('LLLL', fileno $folder, $filter, $EGRESS, 0) . "\0" x 64;
syscall($bpf, $PROG_ATTACH, $attach, length $attach) >= 0 or refused("no filter can be attached: $!");
open my $processes, '>', "$cgroup/cgroup.procs" or refused("$cgroup: $!");
print $processes "$$\n";
close $processes or refused("$cgroup: $!");
exec @program or die "$program[0]: $!";
