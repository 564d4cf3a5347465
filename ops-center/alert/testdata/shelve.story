# Put aside for ten minutes: it asks nobody, comes back by itself when its time
# is over, and by then must be seen again.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged
00:10 shelve loud a by Lan for 10m
> loud a shelved
= loud a shelved shelved-by Lan
05:00 a noise=85
10:09 tick
= loud a shelved shelved-by Lan
10:11 tick
> loud a unacknowledged
= loud a unacknowledged
