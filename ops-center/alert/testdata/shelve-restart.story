# A shelf outlives the program, by a good end and by a bad one, and ends on time.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged
00:10 shelve loud a by Lan for 10m
> loud a shelved
01:00 restart
= loud a shelved shelved-by Lan
02:00 crash
= loud a shelved shelved-by Lan
10:10 tick
> loud a unacknowledged
