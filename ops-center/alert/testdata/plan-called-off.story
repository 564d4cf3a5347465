# Called off early, and after a restart in between.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 plan Hoa until 30:00 rule=loud
00:30 a noise=85
> loud a suppressed
01:00 restart
01:01 tick
= loud a suppressed covered-by plan
02:00 unplan Hoa
02:01 tick
> loud a unacknowledged
