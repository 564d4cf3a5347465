# A plan for a ward covers what happens in it and nothing else.
device a noise
device b noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 plan Hoa until 30:00 zone=wards/w-1
00:30 a noise=85 in wards/w-1
> loud a suppressed
00:30 b noise=85 in wards/w-2
> loud b unacknowledged
