# Somebody works on the gateway: it raises nothing, and neither does what is
# behind it.
device gw gateway
device a noise upstream=gw
rules
  - id: silent
    when: {silence: {intervals: 4}}
end
00:00 gw load=1
00:00 a noise=50
00:30 state gw maintenance
02:01 tick
> silent a suppressed
02:02 tick
= silent a suppressed because gw
