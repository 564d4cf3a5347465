# An expression over values and the place, with its own condition to be well.
device a air-quality
rules
  - id: smoke
    when: {expr: {if: 'pm25 > 75 && humidity < 60 && inside("wards", "w-1")', clear: 'pm25 < 50', for: 1m}}
end
00:00 a pm25=90 in wards/w-1                  # humidity is not known
00:30 a pm25=90 humidity=50 in wards/w-1
01:00 a pm25=90 in wards/w-1                  # the humidity of half a minute ago
01:30 a pm25=90 in wards/w-1
> smoke a unacknowledged 90
02:00 a pm25=60 humidity=90 in wards/w-1
02:30 a pm25=49 in wards/w-1
> smoke a returned
