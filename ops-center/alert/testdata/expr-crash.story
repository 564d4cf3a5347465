# Windows and waits of an expression survive a crash.
device a air-quality
rules
  - id: rising
    when: {expr: {if: 'count("pm25", "10m") >= 3 && lowest("pm25", "10m") >= 70'}}
end
00:00 a pm25=80
00:40 a pm25=80
crash
restart
01:20 a pm25=80
> rising a unacknowledged
crash
= rising a unacknowledged
