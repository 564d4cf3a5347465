# A claim is in the log as everything else.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged
00:10 claim loud a by Lan
> loud a unacknowledged
00:20 restart
00:30 claim loud a by Minh
> conflict Lan
02:10 tick
> loud a unacknowledged
02:11 claim loud a by Minh
> loud a unacknowledged
