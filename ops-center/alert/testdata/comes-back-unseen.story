# An alarm nobody has seen that comes back is the same alarm, and wants to be
# seen again.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged 85
00:10 a noise=60
> loud a returned
00:20 a noise=90
> loud a unacknowledged 90
= loud a unacknowledged chattering
