/**
 * Headers of the kernel's UAPI, `linux/NAME.h`: programs of libbpf's dialect get these where they name one, and the kernel's own where it has
 * one that the UAPI has not.
 */

const names = `
  a.out acct acrn adb adfs_fs affs_hardblocks agpgart aio_abi am437x-vpfe amt apm_bios arcfb arm_sdei aspeed-lpc-ctrl
  aspeed-p2a-ctrl atalk atm atm_eni atm_he atm_idt77105 atm_nicstar atm_tcp atm_zatm atmapi atmarp atmbr2684 atmclip
  atmdev atmioc atmlec atmmpc atmppp atmsap atmsvc audit auto_dev-ioctl auto_fs auto_fs4 auxvec ax25 batadv_packet
  batman_adv baycom bcm933xx_hcs bfs_fs binfmts blkpg blktrace_api blkzoned bpf bpf_common bpf_perf_event bpfilter
  bpqether bsg bt-bmc btf btrfs btrfs_tree cachefiles can capability capi cciss_defs cciss_ioctl ccs cdrom cec
  cec-funcs cfm_bridge cgroupstats chio close_range cm4000_cs cn_proc coda coff comedi connector const coresight-stm
  counter cramfs_fs cryptouser cuda cxl_mem cyclades cycx_cfm dcbnl dccp devlink dlm dlm_device dlm_netlink dlm_plock
  dlmconstants dm-ioctl dm-log-userspace dma-buf dma-heap dns_resolver dqblk_xfs dw100 edd efs_fs_sb elf elf-em
  elf-fdpic errno errqueue erspan ethtool ethtool_netlink eventpoll f2fs fadvise falloc fanotify fb fcntl fd fdreg
  fib_rules fiemap filter firewire-cdev firewire-constants fou fpga-dfl fs fscrypt fsi fsl_hypervisor fsl_mc fsmap
  fsverity fuse futex gameport gen_stats genetlink gfs2_ondisk gpio gsmmux gtp hash_info hdlc hdlcdrv hdreg hid hiddev
  hidraw hpet hsr_netlink hw_breakpoint hyperv i2c i2c-dev i2o-dev i8k icmp icmpv6 idxd if if_addr if_addrlabel if_alg
  if_arcnet if_arp if_bonding if_bridge if_cablemodem if_eql if_ether if_fc if_fddi if_hippi if_infiniband if_link
  if_ltalk if_macsec if_packet if_phonet if_plip if_ppp if_pppol2tp if_pppox if_slip if_team if_tun if_tunnel if_vlan
  if_x25 if_xdp ife igmp ila in in6 in_route inet_diag inotify input input-event-codes io_uring ioam6 ioam6_genl
  ioam6_iptunnel ioctl iommu ioprio ip ip6_tunnel ip_vs ipc ipmi ipmi_bmc ipmi_msgdefs ipsec ipv6 ipv6_route irqnr
  iso_fs isst_if ivtv ivtvfb jffs2 joystick kcm kcmp kcov kd kdev_t kernel kernel-page-flags kernelcapi kexec keyboard
  keyctl kfd_ioctl kfd_sysfs kvm kvm_para l2tp landlock libc-compat limits lirc llc loadpin loop lp lwtunnel magic
  major map_to_14segment map_to_7segment matroxfb max2175 mctp mdio media media-bus-format mei membarrier memfd
  mempolicy meye mii minix_fs mman mmtimer module mount mpls mpls_iptunnel mptcp mqueue mroute mroute6 mrp_bridge
  msdos_fs msg mtio nbd nbd-netlink ncsi ndctl neighbour net net_dropmon net_namespace net_tstamp netconf netdevice
  netfilter netfilter_arp netfilter_bridge netfilter_ipv4 netfilter_ipv6 netlink netlink_diag netrom nexthop nfc nfs
  nfs2 nfs3 nfs4 nfs4_mount nfs_fs nfs_idmap nfs_mount nfsacl nilfs2_api nilfs2_ondisk nitro_enclaves nl80211
  nl80211-vnd-intel nsfs nubus nvme_ioctl nvram omap3isp omapfb oom openat2 openvswitch packet_diag param parport
  patchkey pci pci_regs pcitest perf_event personality pfkeyv2 pfrut pg phantom phonet pidfd pkt_cls pkt_sched pktcdvd
  pmu poll posix_acl posix_acl_xattr posix_types ppdev ppp-comp ppp-ioctl ppp_defs pps pr prctl psample psci psp-sev
  ptp_clock ptrace qemu_fw_cfg qnx4_fs qnxtypes qrtr quota radeonfb random rds reboot reiserfs_fs reiserfs_xattr
  remoteproc_cdev resource rfkill rio_cm_cdev rio_mport_cdev rkisp1-config romfs_fs rose route rpl rpl_iptunnel rpmsg
  rpmsg_types rseq rtc rtnetlink rxrpc scc sched scif_ioctl screen_info sctp seccomp securebits sed-opal seg6
  seg6_genl seg6_hmac seg6_iptunnel seg6_local selinux_netlink sem serial serial_core serial_reg serio sev-guest shm
  signal signalfd smc smc_diag smiapp snmp sock_diag socket sockios sonet sonypi sound soundcard stat stddef stm
  string suspend_ioctls swab switchtec_ioctl sync_file synclink sysctl sysinfo target_core_user taskstats tcp
  tcp_metrics tee termios thermal time time_types timerfd times timex tiocl tipc tipc_config tipc_netlink
  tipc_sockets_diag tls toshiba tty tty_flags types ublk_cmd udf_fs_i udmabuf udp uhid uinput uio uleds ultrasound
  um_timetravel un unistd unix_diag usbdevice_fs usbip userfaultfd userio utime utsname uuid uvcvideo v4l2-common
  v4l2-controls v4l2-dv-timings v4l2-mediabus v4l2-subdev vbox_err vbox_vmmdev_types vboxguest vdpa vduse version veth
  vfio vfio_ccw vfio_zdev vhost vhost_types videodev2 virtio_9p virtio_balloon virtio_blk virtio_bt virtio_config
  virtio_console virtio_crypto virtio_fs virtio_gpio virtio_gpu virtio_i2c virtio_ids virtio_input virtio_iommu
  virtio_mem virtio_mmio virtio_net virtio_pci virtio_pcidev virtio_pmem virtio_ring virtio_rng virtio_scmi
  virtio_scsi virtio_snd virtio_types virtio_vsock vm_sockets vm_sockets_diag vmcore vsockmon vt vtpm_proxy wait
  watch_queue watchdog wireguard wireless wmi wwan x25 xattr xdp_diag xfrm xilinx-v4l2-controls zorro zorro_ids
`;

/** Without folder and `.h`. */
export const uapiHeaderNames: ReadonlySet<string> = new Set(names.trim().split(/\s+/));

/** Headers of C itself and of its library that programs include; what they declare is known by name. */
export const libraryHeaderNames: ReadonlySet<string> = new Set(
  (
    "assert byteswap ctype endian errno fcntl features inttypes limits memory poll sched signal stdarg stdatomic stdbool stddef " +
    "stdint stdio stdlib string strings time unistd"
  ).split(" "),
);
