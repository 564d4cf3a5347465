# The devices report more often than their gateway, so their silence shows first.
# While the gateway is overdue nobody is called because of them.
device gw gateway
device a noise upstream=gw
device b noise upstream=gw
rules
  - id: gateway-silent
    scope: {profiles: [gateway]}
    when: {silence: {after: 3m}}
  - id: silent
    scope: {profiles: [noise]}
    when: {silence: {after: 1m}}
end
00:00 gw load=1
00:00 a noise=50
00:00 b noise=50
01:00 tick
02:59 tick
03:00 tick
> silent a suppressed
> silent b suppressed
> gateway-silent gw unacknowledged
= gateway-silent gw unacknowledged with 2, silent a suppressed because gw, silent b suppressed because gw
