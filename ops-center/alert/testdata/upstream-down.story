# A gateway stops, and what hangs on it with it: one alarm, the others are
# explained by it. It comes back, and so do they, one of them never.
device gw gateway
device a noise upstream=gw
device b noise upstream=gw
device c noise upstream=gw
device d noise
rules
  - id: silent
    when: {silence: {intervals: 4}}
end
00:00 gw load=1
00:00 a noise=50
00:05 b noise=50
00:10 c noise=50
00:10 d noise=50
01:00 d noise=50
01:59 tick
02:00 tick
> silent a suppressed
> silent gw unacknowledged
02:10 tick
> silent b suppressed
> silent c suppressed
= silent gw unacknowledged with 3, silent c suppressed because gw, silent b suppressed because gw, silent a suppressed because gw
02:30 d noise=50
05:00 d noise=50
05:00 gw load=1
> silent gw returned
05:01 tick
05:10 a noise=50
> silent a suppressed
05:11 tick
> silent a normal
06:00 b noise=50
> silent b suppressed
06:00 a noise=50
06:00 d noise=50
06:01 gw load=1
06:02 tick
> silent b normal
07:00 a noise=50
07:00 b noise=50
07:00 d noise=50
07:00 gw load=1
07:01 tick                 # two minutes after the gateway came back
> silent c unacknowledged
07:02 tick
= silent c unacknowledged, silent gw returned
