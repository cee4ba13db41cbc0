# A Debian kernel in QEMU whose only program is an init script. Needs common.sh, namespaces.sh, $ROOT, $PREFIX, $WORK,
# $WIRE (a capture file of what it receives and sends) and $KEPT (where what was fetched stays for the next time).
# shellcheck shell=bash

# What the guests need of the kernel's modules: tunnels, network card, and what these stand on.
guest_modules=(kernel/net/{core,ipv4,ipv6,mpls} kernel/drivers/net/{virtio_net,net_failover}.ko
    kernel/drivers/virtio kernel/lib kernel/crypto modules.order modules.builtin modules.builtin.modinfo)

# Takes QEMU, a kernel and a static busybox from Debian's archive and unpacks them, without installing them.
# Fails where that is not possible, having said why.
fetch_guest() {
    [ ! -e "$KEPT/complete" ] || return 0
    local release kernel packages=() deb unpacked=$KEPT/root
    [ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || { say "this is not Debian on amd64"; return 1; }
    rm -rf "$KEPT"
    mkdir -p "$KEPT"/{debs,root,modules}
    apt-get update -qq || say "apt-get update failed: going on with what is known already"
    release=$(LC_ALL=C apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    [ -n "$release" ] || { say "no package linux-image-amd64 is known here"; return 1; }
    # QEMU with whatever it needs that is not here; apt only says what it would do.
    command -v qemu-system-x86_64 >/dev/null || mapfile -t packages < <(
        apt-get -s install --no-install-recommends qemu-system-x86 | awk '/^Inst/ {print $2}')
    say "fetching $release, busybox-static and ${packages[*]:-no QEMU: it is here}"
    (cd "$KEPT/debs" && apt-get download -qq -o APT::Sandbox::User=root "${packages[@]}" "$release" busybox-static) ||
        { say "apt-get download failed"; return 1; }
    for deb in "$KEPT"/debs/*.deb; do
        dpkg-deb -x "$deb" "$unpacked" || return 1
    done
    # Of the kernel, only what the guest loads.
    kernel=${release#linux-image-}
    mv "$unpacked/boot/vmlinuz-$kernel" "$KEPT/vmlinuz" || return 1
    (cd "$unpacked/lib/modules/$kernel" && cp -r --parents "${guest_modules[@]}" "$KEPT/modules/") || return 1
    rm -rf "$KEPT/debs" "${unpacked:?}/boot" "$unpacked/lib/modules"
    printf '%s\n' "$kernel" >"$KEPT/complete"
}

# make_initramfs INIT: $WORK/initramfs with busybox, this machine's ip, the modules, and this init script.
make_initramfs() {
    local init=$1 kernel busybox=$KEPT/root/bin/busybox tree=$WORK/guest library
    kernel=$(cat "$KEPT/complete")
    mkdir -p "$tree"/{bin,sbin,proc,sys,dev,lib/modules}
    cp "$busybox" "$tree/bin/busybox"
    cp "$(command -v ip)" "$tree/sbin/ip"
    for library in $(ldd "$(command -v ip)" | grep -o '/[^ ]*'); do
        mkdir -p "$tree$(dirname "$library")"
        cp -L "$library" "$tree$library"
    done
    cp -r "$KEPT/modules" "$tree/lib/modules/$kernel"
    "$busybox" depmod -b "$tree" "$kernel"
    cp "$init" "$tree/init"
    (cd "$tree" && find . | "$busybox" cpio -o -H newc 2>/dev/null | gzip -1) >"$WORK/initramfs"
}

# run_guest NAME WORDS OPTION...: in namespace NAME, with these words on the kernel's command line and these options of
# QEMU. Sets $guest, its process; it talks into $WORK/console.
run_guest() {
    local name=$1 words=$2 unpacked=$KEPT/root program libraries
    shift 2
    program=$(command -v qemu-system-x86_64 || echo "$unpacked/usr/bin/qemu-system-x86_64")
    libraries=$unpacked/usr/lib/x86_64-linux-gnu:$unpacked/lib/x86_64-linux-gnu
    # No KVM: not every machine has it, and the guest has little to do.
    LD_LIBRARY_PATH=$libraries ip netns exec "$PREFIX$name" "$program" \
        -L "$unpacked/usr/share/qemu" -L "$unpacked/usr/share/seabios" \
        -accel tcg -cpu max -m 256 -nodefaults -no-reboot -display none -serial "file:$WORK/console" \
        -kernel "$KEPT/vmlinuz" -initrd "$WORK/initramfs" -append "console=ttyS0 quiet panic=1 $words" \
        "$@" >"$WORK/qemu.log" 2>&1 &
    guest=$!
}

# start_guest NAME TAP OTHER: the guest's network cards are the other ends of the kernel's interfaces TAP and OTHER in
# namespace NAME, and everything on the first cable is written into $WIRE.
start_guest() {
    # No vnet_hdr: nobody leaves checksums or segments to the card, so what is on this cable is what would be on a wire.
    run_guest "$1" "" \
        -netdev "tap,id=cable,ifname=$2,script=no,downscript=no,vnet_hdr=off" \
        -device virtio-net-pci,netdev=cable,mac=02:00:00:00:00:c2,romfile= \
        -netdev "tap,id=other,ifname=$3,script=no,downscript=no,vnet_hdr=off" \
        -device virtio-net-pci,netdev=other,mac=02:00:00:00:00:c3,romfile= \
        -object "filter-dump,id=dump,netdev=cable,file=$WIRE"
}

# guest_says TEXT: waits until the guest has said so; fails early where the guest is no more.
guest_says() { wait_for 90 "the guest to say: $1" said_or_gone "$1" && grep -q "guest: $1" "$WORK/console"; }
said_or_gone() { grep -q "guest: $1" "$WORK/console" || ! kill -0 "$guest"; }

# end_guest STATUS: ends $guest, if there is one; what it and QEMU said last is printed if things went wrong.
end_guest() {
    [ -n "$guest" ] || return 0
    [ "$1" -eq 0 ] || tail -n 30 "$WORK/console" "$WORK/qemu.log" >&2 || true
    end_processes "$guest"
}
