# The program ends while devices are suppressed; what explains them is kept.
device gw gateway
device a noise upstream=gw
rules
  - id: silent
    when: {silence: {intervals: 4}}
end
00:00 gw load=1
00:00 a noise=50
02:00 tick
> silent a suppressed
> silent gw unacknowledged
02:10 crash
02:20 tick
= silent gw unacknowledged with 1, silent a suppressed because gw
02:30 a noise=50
> silent a suppressed
02:31 tick
> silent a normal
= silent gw unacknowledged
