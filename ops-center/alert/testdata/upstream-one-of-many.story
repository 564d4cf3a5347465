# The gateway is well and one device behind it is not: that is its own alarm.
device gw gateway
device a noise upstream=gw
device b noise upstream=gw
rules
  - id: silent
    when: {silence: {intervals: 4}}
end
00:00 gw load=1
00:00 a noise=50
00:00 b noise=50
01:30 gw load=1
01:30 b noise=50
02:00 tick
> silent a unacknowledged
02:10 gw load=1
# Now the gateway goes as well, and the other device with it; the alarm that was
# there is explained too. While the gateway is overdue nobody is called.
03:30 tick
04:10 tick
> silent b suppressed
> silent gw unacknowledged
> silent a suppressed
= silent gw unacknowledged with 2, silent b suppressed because gw, silent a suppressed because gw
